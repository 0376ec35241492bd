"""The commands of `flowertune`: what they take, what they show, how they end."""

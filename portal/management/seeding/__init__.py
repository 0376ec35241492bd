"""Invented entries, to work on pages without training or evaluating anything. No page knows of them."""

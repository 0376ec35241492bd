"""What every page shares: pages kept whole, markup, the sitemap."""

"""The participants' command line as the site gives it out: built from the running code, shown, served."""

"""What the audit of a data set looks at, and the page that it writes."""

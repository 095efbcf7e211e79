"""What trains beside a classifier and is saved with it: word masks, adapters, critics, tables, averaged weights."""

"""The command line of mixopt: parse, call one function, print. No arithmetic lives here."""

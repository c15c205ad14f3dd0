"""Every guard is switched off once, and a named test must go red for it: proves that the tests have teeth."""

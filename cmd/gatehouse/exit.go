package main

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2
)

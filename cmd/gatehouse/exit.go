package main

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2

	exitConfirm = 3 // of explain: an account would have to be proved first
)

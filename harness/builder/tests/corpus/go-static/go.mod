module example.org/server

go 1.22

require (
	github.com/a/b v1.2.3
	golang.org/x/sys v0.20.0
)

//go:build unix

// Install puts the real systems of the e2e tests into the cache folder: all, or those
// that are named, as airflow-3.3.2. It does nothing, and quickly, when they are there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"airflow-identity/integration/real"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	cache, err := real.Cache()
	if err == nil {
		err = real.Install(ctx, cache, os.Stderr, os.Args[1:]...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "the real systems are in", cache)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"airflow-identity/broker"
	"airflow-identity/identity"
	"airflow-identity/store"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

const (
	defaultPort = "8080"
	// stopWithin is how long a stop may take: Cloud Foundry kills after 10 s.
	stopWithin = 8 * time.Second
	// slowestRequest bounds a request as a whole: Cloud Controller waits 60 s.
	slowestRequest = 65 * time.Second
)

func serveCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the broker",
		Long: `Runs the broker on PORT (8080 by default). It needs a configuration, a database that
"airflow-identity migrate" has brought up to date, and the login that Cloud Controller
uses: SECURITY_USER_NAME and SECURITY_USER_PASSWORD, and during a change of it
SECURITY_USER_NAME_2 and SECURITY_USER_PASSWORD_2 beside them.`,
		Example: `  airflow-identity serve --config config.yml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(cmd.OutOrStdout())
			if err != nil {
				return misconfigured(err)
			}
			return serve(cmd.Context(), path, logger)
		},
	}
	cmd.Flags().StringVar(&path, "config", os.Getenv("AIRFLOW_IDENTITY_CONFIG"), "path of the configuration file")
	return cmd
}

func serve(ctx context.Context, path string, logger *slog.Logger) error {
	// All that is wrong is told at once.
	config, configErr := loadConfig(path)
	logins, loginErr := platformLogins()
	bound, boundErr := readServices()
	url, urlErr := databaseURL(bound)
	direct, _ := directDatabaseURL(bound) // fails only as url does
	if err := errors.Join(configErr, loginErr, boundErr, urlErr); err != nil {
		return misconfigured(err)
	}
	app, err := build(ctx, config, url, direct, bound, logins, logger)
	if err != nil {
		return err
	}
	defer app.Close()

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+port())
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	logger.Info("serving", "address", listener.Addr().String())
	return app.run(ctx, listener, logger)
}

func port() string {
	if port := os.Getenv("PORT"); port != "" {
		return port
	}
	return defaultPort
}

// run serves until ctx ends. Then open creates are given up, leases are
// released, and it returns within stopWithin.
func (a *application) run(ctx context.Context, listener net.Listener, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      slowestRequest,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return a.engine.Run(running) })
	group.Go(func() error { return store.Listen(running, a.direct, a.engine.Wake, logger) })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		logger.Info("stopping")
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin-time.Second)
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			return errors.Join(fmt.Errorf("stopping: %w", err), server.Close())
		}
		return nil
	})
	return group.Wait()
}

// platformLogins reads the one or two logins that Cloud Controller may use.
func platformLogins() ([]broker.Credential, error) {
	var logins []broker.Credential
	for _, suffix := range []string{"", "_2"} {
		user, password := os.Getenv("SECURITY_USER_NAME"+suffix), os.Getenv("SECURITY_USER_PASSWORD"+suffix)
		switch {
		case user == "" && password == "" && suffix != "":
		case user == "" || password == "":
			return nil, fmt.Errorf("set both SECURITY_USER_NAME%s and SECURITY_USER_PASSWORD%s: the login of Cloud Controller", suffix, suffix)
		default:
			logins = append(logins, broker.Credential{User: user, Password: identity.SecretFrom(password)})
		}
	}
	return logins, nil
}

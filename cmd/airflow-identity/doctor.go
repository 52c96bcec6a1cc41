package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/integration/contract"
	"airflow-identity/remote"

	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	d := doctor{}
	cmd := &cobra.Command{
		Use:   "doctor --contract ENVIRONMENT",
		Short: "find what is wrong, and what to do",
		Long: `Tries on an environment's UAA and Airflow everything that the broker takes for granted of
them, one small case after the other, with the logins of the configuration: the first step
of an installation, and of an upgrade of either. It needs no database.

It makes clients and connections with random names that begin with "contract-" (after the
environment's connection_prefix), touches nothing else, and removes them again, also when it
fails or is broken off; what it could not remove it names. It takes half a minute.

What it tells of a case:
  does not hold           the broker is not made for that: do not put it into service there
  otherwise, and handled  versions differ in it, and the broker is made for this one as well
  cannot be known here    the login may not do it, or nothing tells
A case that holds is counted, and named with --json.

Exit: 0 nothing is wrong, 1 something does not hold or was left behind, 2 for a command line
or a configuration that cannot be right.`,
		Example: `  airflow-identity doctor --contract prod --config config.yml
  airflow-identity doctor --contract prod --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.environment == "" {
				return misconfigured(errors.New("say --contract ENVIRONMENT: doctor so far does nothing but try what the broker takes for granted of an environment's UAA and Airflow"))
			}
			d.out, d.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&d.environment, "contract", "", "the environment whose UAA and Airflow are tried")
	cmd.Flags().StringVar(&d.config, "config", os.Getenv("AIRFLOW_IDENTITY_CONFIG"), "path of the configuration file")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "print JSON, with every case")
	cmd.Flags().DurationVar(&d.timeout, "timeout", 5*time.Minute, "how long it may take; what it made is removed after that all the same")
	return cmd
}

// doctor is one call of the verb.
type doctor struct {
	environment, config string
	asJSON              bool
	timeout             time.Duration
	out, err            io.Writer
}

// suite is one system that is tried.
type suite struct {
	what, url string
	run       func(context.Context) (contract.Report, error)
}

func (d *doctor) run(ctx context.Context) error {
	config, err := loadConfig(d.config)
	if err != nil {
		return misconfigured(err)
	}
	env, found := config.Environments[d.environment]
	if !found {
		return misconfigured(fmt.Errorf("there is no environment %q in %s; there are: %s", d.environment, d.config, strings.Join(sortedKeys(config.Environments), ", ")))
	}
	bound, err := readServices()
	if err != nil {
		return misconfigured(err)
	}
	ofUAA, closeUAA, uaaErr := env.UAA.suite(bound)
	defer closeUAA()
	ofAirflow, closeAirflow, airflowErr := env.Airflow.suite(bound, config.strangers(os.Environ()))
	defer closeAirflow()
	if err := errors.Join(uaaErr, airflowErr); err != nil {
		return misconfigured(fmt.Errorf("environments.%s: %w", d.environment, err))
	}

	bounded, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("it was not done after %s", d.timeout))
	defer cancel()
	var reports []contract.Report
	for _, s := range []suite{ofUAA, ofAirflow} {
		fmt.Fprintf(d.err, "trying %s at %s\n", s.what, s.url)
		report, err := s.run(bounded)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	if err := d.tell(reports); err != nil {
		return err
	}
	return verdict(bounded, reports)
}

// suite is what is tried of a UAA. What closes it is never nil.
func (c UAAConfig) suite(bound services) (suite, func(), error) {
	secret, secretErr := c.ClientAuth.Secret.resolve(bound)
	way, closeWay, wayErr := wayTo(c.CA)
	if err := errors.Join(about("uaa.client_auth.secret", secretErr), about("uaa", wayErr)); err != nil {
		return suite{}, closeWay, err
	}
	target := contract.UAA{
		URL: c.URL, PublicURL: c.PublicURL, Zone: c.Zone, ClientID: c.ClientID, Secret: secret, Transport: way,
	}
	return suite{"UAA", c.URL, target.Run}, closeWay, nil
}

// suite is what is tried of an Airflow: of the API that configuration or login say, or else
// of the one that is there.
func (c AirflowConfig) suite(bound services, strangers []string) (suite, func(), error) {
	client, err := c.client(bound, strangers, slog.New(slog.DiscardHandler))
	if err != nil {
		return suite{}, func() {}, err
	}
	way, closeWay, err := wayTo(c.CA)
	if err != nil {
		return suite{}, client.Close, about("airflow", err)
	}
	target := contract.Airflow{URL: c.URL, Authorize: client.Authorize, Prefix: c.ConnectionPrefix, Transport: way}
	api := loginKinds[c.Auth.Kind].api
	if api == airflow.Auto {
		api = airflow.API(c.API)
	}
	run := target.Run
	switch api {
	case airflow.V1:
		run = target.RunV1
	case airflow.V2:
		run = target.RunV2
	}
	return suite{"Airflow", c.URL, run}, func() { closeWay(); client.Close() }, nil
}

// wayTo trusts what the broker would.
func wayTo(ca string) (*http.Transport, func(), error) {
	text, err := pem(ca)
	if err != nil {
		return nil, func() {}, err
	}
	roots, err := remote.Trusted(text)
	if err != nil {
		return nil, func() {}, err
	}
	way := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return way, way.CloseIdleConnections, nil
}

func (d *doctor) tell(reports []contract.Report) error {
	if d.asJSON {
		return printJSON(d.out, struct {
			Environment string            `json:"environment"`
			Contract    []contract.Report `json:"contract"`
		}{d.environment, reports})
	}
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SYSTEM\tRESULT\tCASE\tSEEN")
	for _, wanted := range []contract.Verdict{contract.Broken, contract.Otherwise, contract.Unknown} {
		for _, r := range reports {
			for _, f := range r.Findings {
				if f.Verdict == wanted {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Suite, f.Verdict, f.Case, f.Seen)
				}
			}
		}
	}
	for _, r := range reports {
		for _, name := range r.Left {
			fmt.Fprintf(table, "%s\tleft behind\t%s\tremove it by hand\n", r.Suite, name)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(d.out)
	for _, r := range reports {
		fmt.Fprintf(d.out, "%s: of %d cases %d hold, %d are otherwise and handled, %d do not hold, %d cannot be known here\n", r.Suite, len(r.Findings),
			r.Count(contract.Holds), r.Count(contract.Otherwise), r.Count(contract.Broken), r.Count(contract.Unknown))
	}
	return nil
}

// verdict is the error, if there is something wrong.
func verdict(ctx context.Context, reports []contract.Report) error {
	broken, left := 0, 0
	for _, r := range reports {
		broken += r.Count(contract.Broken)
		left += len(r.Left)
	}
	var problems []string
	if broken > 0 {
		problems = append(problems, fmt.Sprintf("cases that do not hold: %d; mend what the table says, or do not put the broker into service there", broken))
	}
	if left > 0 {
		problems = append(problems, fmt.Sprintf("things left behind: %d; remove them by hand", left))
	}
	if ctx.Err() != nil {
		problems = append(problems, fmt.Sprintf("it was broken off: %v", context.Cause(ctx)))
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

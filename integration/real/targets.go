//go:build unix

package real

import (
	"embed"
	"fmt"
)

// Target is one system at one version: a line of the matrix.
type Target struct{ System, Version string }

// The systems of the matrix.
const (
	UAASystem     = "uaa"
	AirflowSystem = "airflow"
)

// Targets is the version matrix: what Install installs, the newest of each system
// first. A new version of Airflow is a line here and a file of its own with the pins,
// requirements-airflow-VERSION.txt; a UAA differs in more, see makeUAA.
var Targets = []Target{
	{UAASystem, "4.30.0"},
	{AirflowSystem, "3.3.2"},
	{AirflowSystem, "3.0.6"},  // the first minor of Airflow 3, with packages of its time
	{AirflowSystem, "2.11.2"}, // the last of Airflow 2: REST API v1, logins by Basic
}

// String is the target's name, and that of its folder in the cache.
func (t Target) String() string { return t.System + "-" + t.Version }

// Versions gives the versions of one system, the newest first.
func Versions(system string) []string {
	var versions []string
	for _, target := range Targets {
		if target.System == system {
			versions = append(versions, target.Version)
		}
	}
	return versions
}

// Newest names the newest target of each system: all that a story needs.
func Newest() []string {
	var names []string
	for _, system := range []string{UAASystem, AirflowSystem} {
		names = append(names, Target{system, Versions(system)[0]}.String())
	}
	return names
}

// requirements are every package of each Airflow with its version and the sums of its
// files: Airflow with its API server, the HTTP provider, whose hook the story needs,
// and Authlib, as an example of what people hold a client's secret with. They were
// made by uv, for Python 3.11, without any repair by hand:
//
//	uv pip compile --python 3.11 --no-annotate --no-header --generate-hashes
//
//	3.3.2   apache-airflow-core==3.3.2 apache-airflow-providers-http==6.3.0 authlib
//	3.0.6   apache-airflow-core==3.0.6 apache-airflow-task-sdk==1.0.6 apache-airflow-providers-http authlib,
//	        with --exclude-newer 2025-09-05: what its users got when it came out
//	2.11.2  apache-airflow==2.11.2 apache-airflow-providers-http==6.3.0 authlib
//
//go:embed requirements-*.txt
var requirements embed.FS

// pins reads one of the requirements' files, by the name of what it is for.
func pins(name string) (string, error) {
	text, err := requirements.ReadFile("requirements-" + name + ".txt")
	if err != nil {
		return "", fmt.Errorf("find the pins of %s: %w", name, err)
	}
	return string(text), nil
}

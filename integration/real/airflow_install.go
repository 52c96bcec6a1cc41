//go:build unix

package real

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const uvName = "uv-0.13.9"

// airflowLayout is raised when an Airflow's folder is made in another way.
const airflowLayout = "1"

// makeUV makes an environment with the installer in it: the system's pip is a
// minute slower with Airflow, and no distribution of ours has uv.
func makeUV(ctx context.Context, with tools, dir, pins string) error {
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(pins), 0o644); err != nil {
		return fmt.Errorf("write the pin of uv: %w", err)
	}
	if err := command(ctx, nil, with.python, "-m", "venv", dir); err != nil {
		return err
	}
	return command(ctx, nil, filepath.Join(dir, "bin", "python"), "-m", "pip", "install",
		"--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", requirements)
}

// makeAirflow makes an environment with one Airflow in it. downloads is shared by the
// versions that are installed together, which have many packages in common.
func makeAirflow(ctx context.Context, with tools, uvDir, downloads, dir, pins string) error {
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(pins), 0o644); err != nil {
		return fmt.Errorf("write Airflow's pins: %w", err)
	}
	uv := filepath.Join(uvDir, "bin", "uv")
	if err := command(ctx, nil, uv, "venv", "--quiet", "--allow-existing", "--python", with.python, dir); err != nil {
		return err
	}
	// Compiled now, or else at each start of anything: five seconds a time. The
	// system's certificates are used, as by everything else here: a network with an
	// authority of its own has told the system, and not uv.
	return command(ctx, nil, uv, "pip", "install", "--quiet", "--cache-dir", downloads, "--system-certs", "--require-hashes",
		"--compile-bytecode", "--python", airflowPython(dir), "-r", requirements)
}

// makeDatabase makes an empty database once, of which each start takes a copy: that is
// half of the time until a server answers.
func makeDatabase(ctx context.Context, dir, version string) error {
	home, err := os.MkdirTemp("", "airflow-identity-home-")
	if err != nil {
		return fmt.Errorf("make a home for Airflow: %w", err)
	}
	defer os.RemoveAll(home)
	env := append(cleanEnvironment(),
		"AIRFLOW_HOME="+home,
		"AIRFLOW__CORE__LOAD_EXAMPLES=False",
		"AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS=False",
		"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///"+airflowDatabase(dir),
		"PATH="+os.Getenv("PATH"),
	)
	if err := command(ctx, env, airflowPython(dir), "-m", "airflow", "db", "migrate"); err != nil {
		return err
	}
	how, err := majorOf(version)
	if err != nil || how.users == "" {
		return err
	}
	return command(ctx, env, airflowPython(dir), "-c", how.users)
}

// Where things are in the folder of an installed Airflow.
func airflowDatabase(dir string) string { return filepath.Join(dir, "airflow.db") }
func airflowPython(dir string) string   { return filepath.Join(dir, "bin", "python") }

//go:build unix

package real

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

const (
	uvName      = "uv-0.13.9"
	airflowName = "airflow-3.3.2"
)

// Every package with its version and the sums of its files: Airflow's core, which
// has the API server, and the HTTP provider, whose hook the story needs.
var (
	//go:embed requirements-airflow-3.3.2.txt
	airflowRequirements string
	//go:embed requirements-uv.txt
	uvRequirements string
)

// makeUV makes an environment with the installer in it: the system's pip is a
// minute slower with Airflow, and no distribution of ours has uv.
func makeUV(ctx context.Context, with tools, dir string) error {
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(uvRequirements), 0o644); err != nil {
		return fmt.Errorf("write the pin of uv: %w", err)
	}
	if err := command(ctx, nil, with.python, "-m", "venv", dir); err != nil {
		return err
	}
	return command(ctx, nil, filepath.Join(dir, "bin", "python"), "-m", "pip", "install",
		"--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", requirements)
}

func makeAirflow(ctx context.Context, with tools, uvDir, dir string) error {
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(airflowRequirements), 0o644); err != nil {
		return fmt.Errorf("write Airflow's pins: %w", err)
	}
	uv := filepath.Join(uvDir, "bin", "uv")
	if err := command(ctx, nil, uv, "venv", "--quiet", "--allow-existing", "--python", with.python, dir); err != nil {
		return err
	}
	// Compiled now, or else at each start of anything: five seconds a time. The
	// packages are kept once, in the environment, and not in a cache as well. The
	// system's certificates are used, as by everything else here: a network with an
	// authority of its own has told the system, and not uv.
	return command(ctx, nil, uv, "pip", "install", "--quiet", "--no-cache", "--system-certs", "--require-hashes", "--compile-bytecode",
		"--python", airflowPython(dir), "-r", requirements)
}

func airflowPython(dir string) string { return filepath.Join(dir, "bin", "python") }

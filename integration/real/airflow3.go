//go:build unix

package real

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Airflow 3 runs with its own simple auth manager, whose logins are a file.

func airflow3Settings(a *Airflow, port int) ([]string, error) {
	logins, err := json.Marshal(map[string]string{a.User: a.Password})
	if err != nil {
		return nil, fmt.Errorf("write down Airflow's logins: %w", err)
	}
	passwords, err := a.file("passwords.json", string(logins))
	if err != nil {
		return nil, err
	}
	return []string{
		"AIRFLOW__API__BASE_URL=" + a.URL,
		"AIRFLOW__API__HOST=127.0.0.1",
		"AIRFLOW__API__PORT=" + strconv.Itoa(port),
		"AIRFLOW__API__SECRET_KEY=" + random(),
		"AIRFLOW__API__WORKERS=1",
		"AIRFLOW__API_AUTH__JWT_SECRET=" + random() + random() + random(), // 64 bytes at least
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=" + passwords,
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=" + a.User + ":op",
	}, nil
}

func airflow3Serve(*Airflow, int) []string { return []string{"-m", "airflow", "api-server"} }

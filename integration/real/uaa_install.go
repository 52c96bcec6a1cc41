//go:build unix

package real

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed templates/pom.xml
var uaaPOM string

// The files that pom.xml asks for, as Maven names them, with their SHA-256.
const (
	warFile    = "cloudfoundry-identity-uaa-4.30.0.war"
	tomcatFile = "tomcat-9.0.96.tar.gz"
	jaxbAPI    = "jaxb-api-2.3.1.jar"
	jaxbImpl   = "jaxb-impl-2.3.9.jar"
	groovyFile = "groovy-2.5.23.jar"
)

var uaaSums = map[string]string{
	warFile:    "0ce1e6384b18fdff1e2d7b42f43d51727d14e76ac493b5558ecff98205b95e9f",
	tomcatFile: "bf4ad04955457ad663157876461015437a7479546aec9a38840d736b3d70151f",
	jaxbAPI:    "88b955a0df57880a26a74708bc34f74dcaf8ebf4e78843a28b50eae945732b06",
	jaxbImpl:   "3ba42e1fe670bc9d04409f2493f5482dc96cac21caa11adb27b897e57386fef6",
	groovyFile: "fe3238310d2334b37ed8e6ed219f8a33429eae6548085e822e4d1aad3a471579",
}

// uaaLayout is raised when makeUAA lays the folder out in another way.
const uaaLayout = "1"

func uaaRecipe() string { return uaaLayout + uaaPOM + fmt.Sprint(uaaSums) } // maps print sorted

// Where things are in the folder of an installed UAA.
func tomcatDir(dir string) string  { return filepath.Join(dir, "tomcat") }
func warDir(dir string) string     { return filepath.Join(dir, "war") }
func overlayDir(dir string) string { return filepath.Join(dir, "overlay") }

// makeUAA downloads and unpacks UAA and Tomcat. The war stays as it was published;
// what has to differ lies in an overlay that Tomcat mounts over WEB-INF:
//   - a JDK later than 8 has no JAXB, and the war relies on the JDK's;
//   - the war's Groovy 2.5.2 does not start on a JDK 17, a later 2.5 under the same
//     file name does;
//   - UAA's own uaa.yml has a comment line of 90 KB, over which its YAML parser
//     spends ten seconds at each start.
func makeUAA(ctx context.Context, with tools, dir string) error {
	download := filepath.Join(dir, "download")
	pom := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(pom, []byte(uaaPOM), 0o644); err != nil {
		return fmt.Errorf("write the list of artifacts: %w", err)
	}
	err := command(ctx, append(os.Environ(), "JAVA_HOME="+with.javaHome), with.maven, "-q", "-B", "-f", pom,
		"dependency:copy", "-DoutputDirectory="+download, "-Dmaven.repo.local="+filepath.Join(dir, "maven"))
	if err != nil {
		return err
	}
	for name, sum := range uaaSums {
		if err := verify(filepath.Join(download, name), sum); err != nil {
			return err
		}
	}

	if err := untar(filepath.Join(download, tomcatFile), tomcatDir(dir)); err != nil {
		return fmt.Errorf("unpack Tomcat: %w", err)
	}
	if err := unzip(filepath.Join(download, warFile), warDir(dir)); err != nil {
		return fmt.Errorf("unpack UAA: %w", err)
	}
	lib, classes := filepath.Join(overlayDir(dir), "lib"), filepath.Join(overlayDir(dir), "classes")
	if err := errors.Join(os.MkdirAll(lib, 0o755), os.MkdirAll(classes, 0o755)); err != nil {
		return fmt.Errorf("make the overlay: %w", err)
	}
	for from, to := range map[string]string{jaxbAPI: jaxbAPI, jaxbImpl: jaxbImpl, groovyFile: "groovy-2.5.2.jar"} {
		if err := os.Rename(filepath.Join(download, from), filepath.Join(lib, to)); err != nil {
			return fmt.Errorf("fill the overlay: %w", err)
		}
	}
	settings, err := os.ReadFile(filepath.Join(warDir(dir), "WEB-INF/classes/uaa.yml"))
	if err != nil {
		return fmt.Errorf("read UAA's own settings: %w", err)
	}
	if err := os.WriteFile(filepath.Join(classes, "uaa.yml"), withoutComments(settings), 0o644); err != nil {
		return fmt.Errorf("write UAA's own settings: %w", err)
	}

	// Unpacked and checked, the downloads are only half of the folder's size.
	return errors.Join(os.RemoveAll(download), os.RemoveAll(filepath.Join(dir, "maven")))
}

func withoutComments(yaml []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(yaml) {
		if !bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("#")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// verify compares a file with its pinned sum.
func verify(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify a download: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("verify %s: %w", filepath.Base(path), err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("verify %s: its SHA-256 is %s, pinned is %s", filepath.Base(path), got, want)
	}
	return nil
}

// untar unpacks a .tar.gz without the folder that everything in it lies in.
func untar(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	for entries := tar.NewReader(unzipped); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, inside := strings.Cut(entry.Name, "/")
		if !inside || entry.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpack(dir, name, entries); err != nil {
			return err
		}
	}
}

func unzip(archive, dir string) error {
	files, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, file := range files.File {
		if file.FileInfo().IsDir() {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return err
		}
		if err := errors.Join(unpack(dir, file.Name, content), content.Close()); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes one file of an archive, whose name must not lead out of the folder.
func unpack(dir, name string, content io.Reader) error {
	if !filepath.IsLocal(name) {
		return &fs.PathError{Op: "unpack", Path: name, Err: errors.New("the name leads out of the folder")}
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

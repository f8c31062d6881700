package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gatehouse/internal/oauth2proxy"
)

const migrateUsage = `usage: gatehouse migrate oauth2-proxy [--config F] [--alpha-config F] [--env-file F]
                                      [--public-url U] [-- FLAG...]

Writes what oauth2-proxy is configured to do as a config.yaml to the standard
output. Each option that is set becomes a key, or is named in a comment with what
to do instead. As there, flags come before the environment (OAUTH2_PROXY_*), and
that before the file. Nothing becomes laxer than it was, and no secret is written:
the file refers to variables, which are named at the end.

  --config F        oauth2-proxy.cfg
  --alpha-config F  the alpha configuration
  --env-file F      the environment, as NAME=value lines; without it, that of this
                    command
  --public-url U    what browsers see, where redirect_url does not say it
  FLAG...           the command line of oauth2-proxy, in which --config and
                    --alpha-config may be as well

Exit code 0: written; 1: something cannot be read or is no option, or it is written
and nobody could sign in with it as it stands, which its first lines explain; 2: usage.
`

// runMigrate is the command gatehouse migrate. The configuration is its data;
// what is left to do is talk.
func runMigrate(args []string, stdout, stderr io.Writer) int {
	var theirs []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, theirs = args[:i], args[i+1:]
	}
	flags := newFlags("migrate")
	file := flags.String("config", "", "")
	alpha := flags.String("alpha-config", "", "")
	envFile := flags.String("env-file", "", "")
	publicURL := flags.String("public-url", "", "")
	names, err := parseAnywhere(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, migrateUsage)
		return exitOK
	}
	if err == nil && (len(names) != 1 || names[0] != "oauth2-proxy") {
		err = errors.New("name the program that the configuration is of: oauth2-proxy")
	}
	if err != nil {
		return usageError(stderr, "migrate", err, migrateUsage)
	}
	src := oauth2proxy.Sources{PublicURL: *publicURL, ReadFile: readMigrated}
	parsed, itsFile, itsAlpha, err := oauth2proxy.ParseFlags(theirs)
	if err == nil && (*file != "" && itsFile != "" || *alpha != "" && itsAlpha != "") {
		err = errors.New("a configuration is named before -- and after it")
	}
	if err != nil {
		return usageError(stderr, "migrate", err, migrateUsage)
	}
	src.Flags, src.FileName = parsed, *file+itsFile
	if src.FileName == "" && *alpha+itsAlpha == "" && *envFile == "" && len(theirs) == 0 && !slices.ContainsFunc(os.Environ(), isTheirs) {
		return usageError(stderr, "migrate", errors.New("nothing says what oauth2-proxy is configured to do: name a file, flags or OAUTH2_PROXY_* variables"), migrateUsage)
	}
	if src.File, err = readNamed(src.FileName); err == nil {
		if src.Alpha, err = readNamed(*alpha + itsAlpha); err == nil {
			src.Environ, err = environment(*envFile)
		}
	}
	if err != nil {
		return failed(stderr, err)
	}
	result, err := oauth2proxy.Translate(src)
	if wrong, ok := errors.AsType[*oauth2proxy.FlagError](err); ok {
		return usageError(stderr, "migrate", wrong, migrateUsage)
	}
	if err != nil {
		return failed(stderr, err)
	}
	if _, err := stdout.Write(result.Config); err != nil {
		return failed(stderr, err)
	}
	return migrated(stderr, result)
}

// migrated says what is left to do.
func migrated(stderr io.Writer, result oauth2proxy.Result) int {
	for _, name := range result.Ignored {
		fmt.Fprintf(stderr, "gatehouse migrate: %s had no effect on oauth2-proxy, and has none here\n", name)
	}
	if len(result.Variables) > 0 {
		fmt.Fprintf(stderr, "gatehouse migrate: set before it is used: %s\n", strings.Join(result.Variables, ", "))
	}
	for _, why := range result.Closed {
		fmt.Fprintf(stderr, "gatehouse migrate: nobody can sign in as it stands: %s\n", why)
	}
	if len(result.Closed) > 0 {
		return exitFailed
	}
	fmt.Fprintln(stderr, "gatehouse migrate: read its comments, then: gatehouse check")
	return exitOK
}

func isTheirs(variable string) bool { return strings.HasPrefix(variable, "OAUTH2_PROXY_") }

// maxMigrated is the size of the largest file that is read, in bytes.
const maxMigrated = 1 << 20

func readMigrated(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxMigrated+1))
	if err == nil && len(data) > maxMigrated {
		err = fmt.Errorf("read %s: larger than %d bytes", name, maxMigrated)
	}
	return data, err
}

// readNamed reads a file; nil where none is named.
func readNamed(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	data, err := readMigrated(name)
	if data == nil {
		data = []byte{}
	}
	return data, err
}

// environment returns the variables of a file, or of this process. A line is
// NAME=value, with quotes around the value or without; # begins a comment.
func environment(name string) ([]string, error) {
	if name == "" {
		return os.Environ(), nil
	}
	data, err := readMigrated(name)
	if err != nil {
		return nil, err
	}
	all := []string{}
	for i, line := range bytes.Split(data, []byte("\n")) {
		text := strings.TrimPrefix(strings.TrimSpace(string(line)), "export ")
		if text == "" || text[0] == '#' {
			continue
		}
		variable, value, ok := strings.Cut(text, "=")
		if !ok {
			// Not shown: a secret that was broken over two lines.
			return nil, fmt.Errorf("%s:%d: is not NAME=value", name, i+1)
		}
		if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		all = append(all, strings.TrimSpace(variable)+"="+value)
	}
	return all, nil
}

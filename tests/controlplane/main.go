// Command controlplane runs a real, throw-away Kubernetes control plane on the
// loopback interface: etcd, kube-apiserver and the few controllers that an
// operator's behaviour depends on. There are no nodes; Pods are never started.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == apiServerRole {
		os.Exit(runAPIServerRole(os.Args[2:]))
	}
	options, err := parseOptions(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "controlplane: %v\nRun 'controlplane --help' for the flags.\n", err)
		os.Exit(2)
	}
	if err := run(options); err != nil {
		fmt.Fprintf(os.Stderr, "controlplane: %v\n", err)
		os.Exit(1)
	}
}

// options is what the caller chose on the command line.
type options struct {
	// dir holds all state and logs; empty means a temporary directory that is removed at the end.
	dir string
	// port of the API server; 0 means any free one.
	port int
	// apiServerFlags are appended to the API server's own, so that they win.
	apiServerFlags []string
	exitWithStdin  bool
	outliveParent  bool
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("controlplane", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringVar(&o.dir, "dir", "", "directory for credentials, kubeconfig, data and logs; used again, it continues the same cluster (default: a temporary directory, removed at the end)")
	flags.IntVar(&o.port, "port", 0, "port of the API server on 127.0.0.1 (default: any free port)")
	flags.StringArrayVar(&o.apiServerFlags, "apiserver-flag", nil, "extra flag for kube-apiserver, such as --apiserver-flag=--v=4; may be repeated")
	flags.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "stop when standard input reaches its end")
	flags.BoolVar(&o.outliveParent, "outlive-parent", false, "keep running when the process that started this one ends")
	flags.Usage = func() {
		fmt.Printf("Runs etcd, kube-apiserver and a few controllers on 127.0.0.1, and prints one line when they are ready.\n\n%s", flags.FlagUsages())
	}
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: everything is set by flags", flags.Arg(0))
	}
	if o.port < 0 || o.port > 65535 {
		return options{}, fmt.Errorf("--port=%d is not a port: use 1 to 65535, or 0 for any free one", o.port)
	}
	return o, nil
}

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Plugin is what helm tells the command when it runs as a plugin of helm, by variables of the environment.
type Plugin struct {
	Binary, Namespace, Context, Kubeconfig string
	// Home says where helm keeps repositories, log-ins and plugins.
	Home map[string]string
	// Login has the variables by which helm reaches a cluster in another way than the kubeconfig says.
	Login []string
}

// pluginBinary is the name by which helm starts the command.
const pluginBinary = "helm-sut"

var homeVariables = []string{
	"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_CONTENT_CACHE", "HELM_DATA_HOME", "HELM_PLUGINS",
	"HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CACHE", "HELM_REPOSITORY_CONFIG",
}

// takePlugin takes what helm says out of the environment, so that no program which the command starts gets it. It is nil
// if helm did not start the command.
func takePlugin() *Plugin {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") != pluginBinary {
		return nil
	}
	p := &Plugin{Home: map[string]string{}}
	// What is no Config.Kubeconfig, such as a list, stays in the environment.
	if _, err := os.Stat(os.Getenv("KUBECONFIG")); err == nil {
		p.Kubeconfig = os.Getenv("KUBECONFIG")
	}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "HELM_") {
			continue
		}
		os.Unsetenv(name)
		switch {
		case name == "HELM_BIN":
			p.Binary = value
		case name == "HELM_NAMESPACE":
			p.Namespace = value
		case name == "HELM_KUBECONTEXT":
			p.Context = value
		case slices.Contains(homeVariables, name):
			p.Home[name] = value
		case strings.HasPrefix(name, "HELM_KUBE") && value != "" && value != "false":
			p.Login = append(p.Login, name)
		}
	}
	return p
}

// asPlugin makes the command one of helm: its name, and helm's settings below its own flags.
func (a *app) asPlugin(root *cobra.Command) {
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: a.name}
	root.CompletionOptions.DisableDefaultCmd = true // the completion of helm asks the plugin
	p := a.plugin
	a.cfg.Binary, a.cfg.Namespace, a.cfg.KubeContext, a.cfg.Kubeconfig = p.Binary, p.Namespace, p.Context, p.Kubeconfig
	rename(root, "helmexec", a.name)
}

// rename writes another name of the command into its help.
func rename(cmd *cobra.Command, from, to string) {
	cmd.Long = strings.ReplaceAll(cmd.Long, from, to)
	cmd.Example = strings.ReplaceAll(cmd.Example, from, to)
	for _, below := range cmd.Commands() {
		rename(below, from, to)
	}
}

// configurePlugin refuses what would reach another cluster than helm does, or the same one with other rights.
func (a *app) configurePlugin(cmd *cobra.Command) error {
	if len(a.plugin.Login) > 0 && asksCluster(cmd) {
		return fmt.Errorf("%s: a plugin does not take that from helm; name a kubeconfig that says it", strings.Join(a.plugin.Login, ", "))
	}
	if a.userHome {
		a.cfg.Env = a.plugin.Home
	}
	return nil
}

// asksCluster reports whether a command, with its flags, talks to a cluster.
func asksCluster(cmd *cobra.Command) bool {
	switch {
	case cmd.GroupID == "look":
		return given(cmd, "from-cluster")
	case slices.Contains([]string{"name", "version"}, cmd.Name()):
		return false
	}
	return !given(cmd, "offline")
}

// given reports whether a command has a flag, and it is set.
func given(cmd *cobra.Command, flag string) bool {
	f := cmd.Flags().Lookup(flag)
	return f != nil && f.Value.String() == "true"
}

// Command temporal is a development server of Temporal: its four services in one process, a database in a file, and
// fixed ports, so that a killed one is soon back with everything it knew:
//
//	temporal -db file -port 7233
//
// It takes eight ports from -port on, all on loopback. The namespace is "default"; -attributes names its search attributes,
// keywords, joined by commas.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

func main() {
	db := flag.String("db", "", "`file` of the database; made if it is missing")
	port := flag.Int("port", 7233, "first of eight ports; clients use this one")
	attributes := flag.String("attributes", "", "search attributes of the namespace, joined by commas")
	flag.Parse()
	if err := serve(*db, *port, strings.Split(*attributes, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

// serve runs the server until a signal ends it.
func serve(db string, port int, attributes []string) error {
	store := &config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: db, ConnectAttributes: map[string]string{"mode": "rwc"}}
	if _, err := os.Stat(db); os.IsNotExist(err) {
		// Under another name until it is whole: the server may be killed meanwhile.
		unfinished := *store
		unfinished.DatabaseName += ".tmp"
		if err := setup(&unfinished, attributes); err != nil {
			return err
		}
		if err := os.Rename(unfinished.DatabaseName, db); err != nil {
			return err
		}
	}
	client := fmt.Sprintf("127.0.0.1:%d", port)
	cfg := &config.Config{
		Global: config.Global{Membership: config.Membership{BroadcastAddress: "127.0.0.1"}},
		Persistence: config.Persistence{
			DefaultStore: "sqlite", VisibilityStore: "sqlite", NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{"sqlite": {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: "active", CurrentClusterName: "active",
			ClusterInformation: map[string]cluster.ClusterInformation{"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: client}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival:            config.Archival{History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"}},
		PublicClient:        config.PublicClient{HostPort: client},
		Services:            map[string]config.Service{},
	}
	for i, name := range temporal.DefaultServices {
		cfg.Services[name] = config.Service{RPC: config.RPC{GRPCPort: port + i, MembershipPort: port + 4 + i, BindOnLocalHost: true}}
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: "warn"}))),
		temporal.InterruptOn(temporal.InterruptCh()),
	)
	if err != nil {
		return err
	}
	return server.Start()
}

// setup makes a database with the namespace.
func setup(store *config.SQL, attributes []string) error {
	if err := os.RemoveAll(store.DatabaseName); err != nil {
		return err
	}
	if err := sqlite.SetupSchema(store); err != nil {
		return err
	}
	keywords := map[string]enums.IndexedValueType{}
	for _, name := range attributes {
		if name != "" {
			keywords[name] = enums.INDEXED_VALUE_TYPE_KEYWORD
		}
	}
	namespace, err := sqlite.NewNamespaceConfig("active", "default", false, keywords)
	if err != nil {
		return err
	}
	return sqlite.CreateNamespaces(store, namespace)
}

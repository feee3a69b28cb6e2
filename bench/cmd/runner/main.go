// Command runner is a process that lives for one job, as a job runner of a lab does. Its argument is a
// job.Order in JSON; it prints a job.Report.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/sut-bench/helmexec/bench/internal/job"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		log.Fatal("usage: runner order")
	}
	var order job.Order
	if err := json.Unmarshal([]byte(os.Args[1]), &order); err != nil {
		log.Fatal(err)
	}
	report, err := job.Run(ctx, order)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		log.Fatal(err)
	}
}

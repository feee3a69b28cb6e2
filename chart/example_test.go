package chart_test

import (
	"fmt"
	"log"

	"github.com/sut-bench/helmexec/chart"
)

// Read an untrusted chart within limits, and combine its values with your own.
func Example() {
	c, err := chart.Read("../testdata/charts/webapp", chart.Options{Limits: chart.Limits{File: 1 << 20}})
	if err != nil {
		log.Fatal(err)
	}
	values := c.Values.Merge(chart.Values{"replicas": 3})
	fmt.Println(c.Metadata.Name, c.Metadata.Version, values["replicas"], c.HasCRDs())
	// Output: webapp 0.3.1 3 false
}

package charts

import (
	"cmp"
	"time"

	"github.com/sut-bench/helmexec"
)

// want is the expected outcome of one of our own charts, and how long helm may wait for what never
// happens. If nothing like that is in the chart, the time is longer than anything takes.
type want struct {
	outcome string // a part of it
	noPlan  bool   // it can be installed, but not planned
	times
}

func (w want) orLong() times {
	return times{cmp.Or(w.install, 5*time.Minute), cmp.Or(w.removal, 5*time.Minute), cmp.Or(w.grace, time.Minute)}
}

const short = 3 * time.Second

var (
	notReady    = helmexec.ErrNotReady.Error()
	notGone     = "removal: " + helmexec.ErrNotGone.Error()
	noRender    = helmexec.ErrRenderFailed.Error()
	noNamespace = helmexec.ErrNamespaceNotFound.Error()
)

var wanted = map[string]want{
	"argo-benchmark":  {outcome: installed},
	"broken-template": {outcome: noRender},
	"gpu-inference":   {outcome: installed},
	"stack":           {outcome: installed},
	"webapp":          {outcome: installed},

	"admission-policy":      {}, // it may not be active yet when the release is removed
	"api-service":           {outcome: installed},
	"crds":                  {outcome: installed},
	"crds-by-hook":          {}, // Helm 3 may look for the new kind before the API server serves it
	"crds-kept":             {outcome: installed},
	"crds-of-subchart":      {outcome: installed},
	"crds-other-objects":    {outcome: installed, noPlan: true},
	"crds-then-broken":      {outcome: noRender},
	"crds-then-refused":     {outcome: refused},
	"crds-then-unknown":     {outcome: refused},
	"disruption":            {outcome: installed},
	"exists":                {outcome: refused},
	"finalizer":             {outcome: notGone, times: times{removal: short}},
	"finalizer-not-ready":   {outcome: notReady, times: times{install: short, grace: short}},
	"generate-name":         {outcome: refused},
	"generate-name-hook":    {}, // Helm 3 cannot wait for an object without a name
	"hook-endless":          {outcome: notReady, times: times{install: short}},
	"hook-endless-goodbye":  {outcome: notGone, times: times{removal: short}},
	"hook-endless-late":     {outcome: notReady, times: times{install: short}},
	"hook-endless-removal":  {outcome: installed, times: times{removal: 20 * time.Second}},
	"hook-fails":            {outcome: notReady},
	"hook-fails-late":       {outcome: notReady},
	"hook-gone":             {outcome: installed},
	"hook-list":             {outcome: installed},
	"hook-many-events":      {outcome: installed},
	"hook-policies":         {outcome: installed},
	"hook-refused-removal":  {outcome: installed},
	"invalid":               {outcome: refused},
	"invalid-hook":          {},
	"jobs":                  {outcome: installed},
	"lists":                 {outcome: installed},
	"namespaces":            {outcome: installed},
	"namespaces-kept":       {outcome: installed},
	"namespaces-missing":    {outcome: noNamespace},
	"notes":                 {outcome: installed},
	"policies":              {outcome: installed},
	"policies-wide":         {outcome: installed},
	"quota":                 {outcome: notReady, times: times{install: short}},
	"quota-refuses":         {}, // a quota that is not counted yet lets everything through
	"unknown-kind":          {outcome: refused},
	"volumes":               {outcome: installed},
	"volumes-not-ready":     {outcome: notReady, times: times{install: short}},
	"webhooks-fail":         {outcome: installed},
	"webhooks-fail-kept":    {outcome: "removal: "},
	"webhooks-fail-records": {},
	"webhooks-ignored":      {outcome: installed},
}

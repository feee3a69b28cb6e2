package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// requireValues makes every flag that takes a text refuse an empty one, in a command and in those below it. An empty text is
// what a script gives whose variable is not set: --registry "$LAB" must not then allow every registry. Only --set and --set-string
// take one, as they do for helm: it sets nothing.
func requireValues(cmd *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name == "set" || f.Name == "set-string" {
				return
			}
			switch f.Value.Type() {
			case "string", "stringSlice", "stringArray", "stringToString":
				// The help of a flag without a default shows none; pflag knows that of its own types only.
				if f.DefValue == "[]" {
					f.DefValue = ""
				}
				f.Value = filled{f.Value}
			}
		})
	}
	for _, below := range cmd.Commands() {
		requireValues(below)
	}
}

// filled is the value of a flag that is given with a text, or not at all.
type filled struct{ pflag.Value }

func (f filled) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("it is empty: give it a value, or leave the flag out")
	}
	return f.Value.Set(text)
}

// after is a time from now on.
type after time.Duration

func (a *after) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it is not in the future; want a time such as 90m or 24h")
	}
	*a = after(d)
	return err
}

func (a *after) String() string { return "" } // no default
func (a *after) Type() string   { return "duration" }

// keyExamples are of the flags that take a key and a value.
var keyExamples = map[string]string{"mirror": "docker.io=mirror.lab/docker", "label": "team=web"}

// flagError says of a flag that is not understood what it wants.
func flagError(_ *cobra.Command, err error) error {
	if strings.Contains(err.Error(), ": time: ") {
		return fmt.Errorf("%w; want a time such as 90m or 24h", err)
	}
	var invalid *pflag.InvalidValueError
	var number *strconv.NumError
	if errors.As(err, &invalid) && errors.As(err, &number) {
		want := "want a number"
		switch {
		case invalid.GetFlag().Value.Type() == "bool":
			want = "want true or false"
		case errors.Is(err, strconv.ErrRange):
			want = "the number is too large"
		}
		return fmt.Errorf("--%s %.80q: %s", invalid.GetFlag().Name, invalid.GetValue(), want)
	}
	if errors.As(err, &invalid) && strings.Contains(err.Error(), "key=value") {
		return fmt.Errorf("%w, such as %s", err, keyExamples[invalid.GetFlag().Name])
	}
	return err
}

// excluding checks the flags that exclude each other. Cobra says which were given in a list behind "none of the others can be".
func excluding(cmd *cobra.Command) error {
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	_, list, _ := strings.Cut(err.Error(), "; [")
	list, _, found := strings.Cut(list, "]")
	if !found {
		return err
	}
	return fmt.Errorf("--%s exclude each other", strings.Join(slices.Sorted(strings.FieldsSeq(list)), " and --"))
}

// Package yamlfile reads the YAML files that people write for the command.
package yamlfile

import (
	"errors"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// jsonTalk is what the decoder says of JSON, which the writer of a YAML file has not seen.
var jsonTalk = strings.NewReplacer("error unmarshaling JSON: ", "", "while decoding JSON: ", "", "json: ", "", "error converting YAML to JSON: ", "")

// Read decodes a file. An unknown field is an error.
func Read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return errors.New(jsonTalk.Replace(err.Error()))
	}
	return nil
}

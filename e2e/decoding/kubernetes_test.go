package decoding

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

var (
	decoder = unstructured.UnstructuredJSONScheme
	typer   = unstructuredscheme.NewUnstructuredObjectTyper()
)

// kubernetesReads decodes a stream with the code of Kubernetes, in the steps in which the resource builder of helm and
// kubectl calls it.
func kubernetesReads(stream string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(stream), 4096); ; {
		var document runtime.RawExtension
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		document.Raw = bytes.TrimSpace(document.Raw)
		if len(document.Raw) == 0 || string(document.Raw) == "null" {
			continue
		}
		object, _, err := decoder.Decode(document.Raw, nil, nil)
		if err != nil {
			return nil, err
		}
		if !meta.IsListType(object) {
			objects = append(objects, object.(*unstructured.Unstructured))
			continue
		}
		items, err := flatten(object)
		if err != nil {
			return nil, err
		}
		objects = append(objects, items...)
	}
}

// flatten gives the objects of a list.
func flatten(list runtime.Object) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for rest := []runtime.Object{list}; len(rest) > 0; rest = rest[1:] {
		if !meta.IsListType(rest[0]) {
			if _, _, err := typer.ObjectKinds(rest[0]); err != nil {
				return nil, err
			}
			objects = append(objects, rest[0].(*unstructured.Unstructured))
			continue
		}
		items, err := meta.ExtractList(rest[0])
		if err != nil {
			return nil, err
		}
		if errs := runtime.DecodeList(items, decoder); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		rest = append(rest, items...)
	}
	return objects, nil
}

package manifest

// readPosing reads a mapping of what a custom resource carries and calls an object of a kind without images. If it is
// one, all of it is data and nothing names an image; if its operator takes it for something else, it may.
func (f *imageFinder) readPosing(c *cursor) {
	for at := c; c.object.config && !c.isContainer() && at != c.object.root; at = at.parent {
		if at.key == "data" || at.key == "stringData" || at.key == "binaryData" {
			return
		}
	}
	f.asPosing(func() { f.readCustom(c) })
}

func (f *imageFinder) asPosing(read func()) {
	f.posing = true
	read()
	f.posing = false
}

// doubt makes an image unresolved where what stands around it says that it is something else.
func (f *imageFinder) doubt(c *cursor, found *foundImage) {
	switch {
	case f.posing && !c.isContainer():
		found.class = classUnresolved
		found.Reason = "it is in an object of the kind " + shortened(c.object.Kind, maxPathPart) + ", which names no image there; the operator may take it for something else"
	case found.Image == istioImage && c.isContainer() && f.isInjected(c):
		found.class, found.Reason = classUnresolved, "Istio replaces it by the image of its proxy"
	}
}

// istioImage stands where Istio puts the image of its proxy, in pods that say that they want it.
const istioImage = "auto"

// isInjected reports a container in a pod that asks Istio for its proxy.
func (f *imageFinder) isInjected(c *cursor) bool {
	if c.parent == nil || c.parent.parent == nil {
		return false
	}
	metadata := f.get(c.parent.parent.node, "metadata")
	annotations, labels := f.get(metadata, "annotations"), f.get(metadata, "labels")
	const inject = "sidecar.istio.io/inject"
	return scalar(f.get(annotations, "inject.istio.io/templates")) != "" ||
		scalar(f.get(annotations, inject)) == "true" || scalar(f.get(labels, inject)) == "true"
}

// otherReading adds the image of what looks like a container as it stands, if what was found from start on joins it with
// fields beside it: an operator that hands the container on does not know them.
func (f *imageFinder) otherReading(c *cursor, start int) {
	image := resolve(get(c.node, "image"))
	for _, found := range f.found[start:] {
		if len(found.parts) < 2 {
			continue
		}
		for _, part := range found.parts {
			if part.node == image {
				f.addUnresolved(c, "image", image, image.Value, "beside it stand parts of an image, which a container does not have")
				return
			}
		}
	}
}

// readBare reads a mapping in which only containers are work to come.
func (f *imageFinder) readBare(c *cursor) {
	if c.isContainer() && c.namesImage() && (c.object.scope != scopeSchema || c.object.carried) {
		f.field(c, "image", ImageSure)
		return
	}
	if !f.hints || c.object.Group == "kro.run" { // whose schemas have a syntax of their own
		return
	}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		if key := keyOf(c.node.Content[i]); isCalledImage(key) || key == "default" && isCalledImage(c.key) {
			f.hintField(c, key)
		}
	}
}

func isCalledImage(name string) bool {
	return isImageWord(name) && hasAnySuffix(name, imageSuffixes...)
}

// hintContainer gives the image of a container in a policy as a hint, unless it is one as any text like it.
func (f *imageFinder) hintContainer(c *cursor) {
	if c.isContainer() && !f.isHint(scalar(get(c.node, "image")), true) {
		f.hintField(c, "image")
	}
}

// hintField gives the references at a key of a mapping as hints.
func (f *imageFinder) hintField(c *cursor, key string) {
	if !f.hints {
		return
	}
	for _, item := range f.scalarsAt(c.node, key) {
		text := scalar(item)
		if text == "" || isOther(text) {
			continue
		}
		if _, err := f.parse(text); err == nil {
			f.addHint(c, key, item, 0, len(text))
		}
	}
}

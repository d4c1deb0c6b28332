// Package demo holds the demonstration tenant that `holdfast dev` applies.
package demo

import _ "embed" // for the file

// File is the demonstration tenant as `holdfast apply` reads it.
//
//go:embed demo.yaml
var File []byte

package directory

import "holdfast/domain/account"

// File is many things of one kind that are made or changed together, or not at all.
type File struct {
	Kind    Kind
	Rows    []Row
	Secrets []string // see Change
	// DryRun: nothing is changed, and everything that would be wrong is named.
	DryRun bool
}

// Row is one thing of a File.
type Row struct {
	Number int // as spreadsheets count: the header is 1
	Name   string
	New    bool // it is made; else it is changed
	Set    map[string]any
	// Fixed are fields of Body that can't be changed, and must be what they are.
	Fixed map[string]string
	// Needs are what the author needs for this row.
	Needs []account.Permission
}

// Problem is what is wrong with a cell, or with a row as a whole if it names no column.
type Problem struct {
	Row      int
	Column   string
	Sentence string
}

// Imported is what became of a File. With any problem nothing was changed.
type Imported struct {
	Created, Changed, Same int
	Problems               []Problem // by row; there may be more than are named
}

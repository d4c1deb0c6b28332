package db_test

import (
	"os"
	"testing"

	"holdfast/db/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

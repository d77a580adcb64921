package cpu

func vectorTables(level) *vectorTable { return &genericVector }

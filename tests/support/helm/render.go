// Renders the chart's templates with Go's own template engine, and those of Helm's functions that they use.
//
//	go run render.go CHART < VALUES
//
// VALUES is JSON: {"Values": …, "Release": …, "Chart": …}. Each rendered file is written to stdout under a
// line "# Source: <file>". What Helm does beyond this (merging values, its schema) the test does.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"
)

func text(value any) string {
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return fmt.Sprint(int64(number))
	}
	return fmt.Sprint(value)
}

func toJSON(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func integer(value any) int64 {
	switch v := value.(type) {
	case float64:
		return int64(v)
	case int:
		return int64(v)
	case int64:
		return v
	}
	return 0
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	var data map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&data); err != nil {
		fail(err)
	}
	root := template.New("chart").Option("missingkey=zero")
	root.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := root.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"fail":   func(message string) (string, error) { return "", errors.New(message) },
		"toJson": toJSON,
		"quote": func(value any) string {
			if value == nil {
				return ""
			}
			return fmt.Sprintf("%q", text(value))
		},
		"nindent": func(spaces int, value string) string {
			pad := strings.Repeat(" ", spaces)
			return "\n" + pad + strings.ReplaceAll(value, "\n", "\n"+pad)
		},
		"default": func(fallback any, given ...any) any {
			if len(given) == 0 {
				return fallback
			}
			if truth, _ := template.IsTrue(given[0]); truth {
				return given[0]
			}
			return fallback
		},
		"dict": func(pairs ...any) map[string]any {
			made := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				made[pairs[i].(string)] = pairs[i+1]
			}
			return made
		},
		"list": func(items ...any) []any { return items },
		"join": func(between string, items []any) string {
			words := []string{}
			for _, item := range items {
				words = append(words, text(item))
			}
			return strings.Join(words, between)
		},
		"add":        func(a, b any) int64 { return integer(a) + integer(b) },
		"trunc":      func(most int, value string) string { return value[:min(most, len(value))] },
		"trimSuffix": func(suffix, value string) string { return strings.TrimSuffix(value, suffix) },
		"sha256sum":  func(value string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(value))) },
	})
	files, err := filepath.Glob(filepath.Join(os.Args[1], "templates", "*"))
	if err != nil {
		fail(err)
	}
	sort.Strings(files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			fail(err)
		}
		if _, err := root.New(filepath.Base(file)).Parse(string(content)); err != nil {
			fail(err)
		}
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		fmt.Printf("---\n# Source: %s\n", name)
		if err := root.ExecuteTemplate(os.Stdout, name, data); err != nil {
			fail(err)
		}
		fmt.Println()
	}
}

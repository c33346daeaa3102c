// Command pullbench measures systemgemma pull, and the commands that look at the store, from outside: the program is started as a person
// starts it, against a hub on loopback.
//
//	go build -trimpath -o systemgemma ./cmd/systemgemma
//	go run ./tools/pullbench -program ./systemgemma fetch              # a file of 2 GB against curl; peak memory
//	go run ./tools/pullbench -program ./systemgemma -hf FOLDER stream  # converted while it comes; peak memory
//	go run ./tools/pullbench -program ./systemgemma start              # without arguments, and list, with 100 models
//
// It prints what it measured and judges nothing. docs/hub.md holds figures with their method.
package main

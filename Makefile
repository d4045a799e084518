.PHONY: help lab test docs bench
help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
lab:  ## run the conformance suite on a lab
	./scripts/lab
test:  ## lint, types, layers, tests with coverage
	./scripts/test
docs:  ## regenerate the pages that are made from the code
	.venv/bin/python -m pytest_ciliumwg.docs docs deploy
bench:  ## compare the watch with tcpdump, tshark and scapy
	.venv/bin/python -m bench.watch

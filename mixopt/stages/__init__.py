"""What an experiment goes through, one stage a file: sample, fit, propose, confirm, export."""

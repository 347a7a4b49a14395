"""What writes docs/sigmoid.md, docs/sigmoid.ko.md and their pictures; not shipped."""

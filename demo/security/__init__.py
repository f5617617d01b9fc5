"""What stands between the page and its visitors; SECURITY.md has the promises."""

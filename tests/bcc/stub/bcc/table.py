"""Nothing of BCC's tables is needed to record a tool."""

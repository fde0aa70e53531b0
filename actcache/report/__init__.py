"""The page of `actcache report`: what an audit log says, as one self-contained HTML file."""

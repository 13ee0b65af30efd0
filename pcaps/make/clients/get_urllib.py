"""Fetches one URL with urllib. usage: get_urllib.py URL CA"""

import ssl
import sys
import urllib.request

context = ssl.create_default_context(cafile=sys.argv[2])
with urllib.request.urlopen(sys.argv[1], context=context, timeout=10) as answer:
    print(answer.status, len(answer.read()))

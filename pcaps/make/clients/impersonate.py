"""Fetches one URL with curl_cffi in the guise of a browser. usage: impersonate.py URL CA GUISE"""

import sys

from curl_cffi import requests

answer = requests.get(sys.argv[1], verify=sys.argv[2], impersonate=sys.argv[3], timeout=10)
print(answer.status_code, len(answer.content))

"""Fetches one URL with requests. usage: get_requests.py URL CA"""

import sys

import requests

answer = requests.get(sys.argv[1], verify=sys.argv[2], timeout=10)
print(answer.status_code, len(answer.content))

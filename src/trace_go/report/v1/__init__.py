"""The frozen types of JSON schema `trace-go/1`, a module for each noun, and how a report becomes one of them.

These types are a contract with users: fields are only ever added. The model may change freely behind `of_report`.
"""

"""The DynamoDB service: pages of raw items in, batches of raw items out, and the settings of tables.

Item bodies pass through as bytes; botocore keeps credentials, signing, endpoints, retries and CRC checks. Throttling is
answered here, with a budget and a bound. Imports nothing of backups; touches DynamoDB and Application Auto Scaling.
"""

"""DynamoDB as strict and as linear as the service, over moto's tables.

moto's `Table.items` stays the only store: `store` replaces its dictionaries by ordered ones and its items by items
that keep their wire JSON, so that Query, streams, tags, transactions and the rest of moto see the same items.
`values` holds the rules for attribute values, `operations` answers the operations that move many items, `patches`
mends what moto does with the others.
"""

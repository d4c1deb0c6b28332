-- Whoever sets a tenant's provider says who everybody there is. vouched is what those who
-- set it as it is might do themselves: whoever may more is not let in by its word. Nobody
-- vouched for the settings of before: they let in agents only until they are set again.
ALTER TABLE oidc ADD COLUMN vouched text[] NOT NULL DEFAULT '{}';

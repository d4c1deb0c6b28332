-- SEED-63, the CRM: a tenant's contacts, what it wants to know of them, notes, and which
-- calls were with whom.

-- Own fields of the tenant. The values stand in contacts.fields, by key.
CREATE TABLE contact_fields (
  tenant_id  text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  key        text NOT NULL CHECK (key <> ''),
  label      text NOT NULL DEFAULT '',
  type       text NOT NULL CHECK (type IN ('text', 'number', 'date', 'choice', 'boolean')),
  required   boolean NOT NULL DEFAULT false,
  choices    text[] NOT NULL DEFAULT '{}',
  position   int NOT NULL DEFAULT 0,
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
SELECT holdfast_guard('contact_fields');
CREATE TRIGGER count_change BEFORE UPDATE ON contact_fields FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();

-- numbers are E.164; words is what a search finds the contact by.
CREATE TABLE contacts (
  tenant_id    text NOT NULL REFERENCES tenants ON DELETE CASCADE,
  id           text COLLATE "C" NOT NULL CHECK (id <> ''),
  display_name text COLLATE "C" NOT NULL DEFAULT '',
  company      text COLLATE "C" NOT NULL DEFAULT '',
  emails       text[] NOT NULL DEFAULT '{}',
  numbers      text[] NOT NULL DEFAULT '{}',
  language     text NOT NULL DEFAULT '',
  vip          boolean NOT NULL DEFAULT false,
  fields       jsonb NOT NULL DEFAULT '{}',
  words        text[] NOT NULL DEFAULT '{}',
  created_by   text NOT NULL DEFAULT '',
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX contacts_name ON contacts (tenant_id, display_name, id);
CREATE INDEX contacts_company ON contacts (tenant_id, company, id);
CREATE INDEX contacts_updated ON contacts (tenant_id, updated_at, id);
CREATE INDEX contacts_author ON contacts (created_by, tenant_id);
SELECT holdfast_guard('contacts');
CREATE TRIGGER count_change BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION holdfast_count_change();

-- Whose number it is: one contact's. An arriving call is looked up by the primary key;
-- the other index must not begin like it (0003_live.sql).
CREATE TABLE contact_numbers (
  tenant_id text NOT NULL,
  number    text NOT NULL,
  contact   text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, number)
);
CREATE INDEX contact_numbers_contact ON contact_numbers (contact, tenant_id);
SELECT holdfast_guard('contact_numbers');

-- The words of all contacts, for searches by their beginnings. Comparison of texts is
-- leakproof, so that this index serves under row-level security; an index of trigrams
-- would not, for LIKE is not.
CREATE TABLE contact_words (
  tenant_id text NOT NULL,
  word      text COLLATE "C" NOT NULL,
  contact   text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, word, contact)
);
CREATE INDEX contact_words_contact ON contact_words (contact, tenant_id);
SELECT holdfast_guard('contact_words');

CREATE FUNCTION holdfast_index_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM contact_numbers x WHERE x.contact = OLD.id AND x.tenant_id = OLD.tenant_id AND (TG_OP = 'DELETE' OR x.number <> ALL (NEW.numbers));
    DELETE FROM contact_words x WHERE x.contact = OLD.id AND x.tenant_id = OLD.tenant_id AND (TG_OP = 'DELETE' OR x.word <> ALL (NEW.words));
  END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO contact_numbers SELECT NEW.tenant_id, unnest(NEW.numbers), NEW.id;
    INSERT INTO contact_words SELECT NEW.tenant_id, unnest(NEW.words), NEW.id;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO contact_numbers SELECT NEW.tenant_id, n, NEW.id FROM unnest(NEW.numbers) n WHERE n <> ALL (OLD.numbers);
    INSERT INTO contact_words SELECT NEW.tenant_id, w, NEW.id FROM unnest(NEW.words) w WHERE w <> ALL (OLD.words);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER index_contact AFTER INSERT OR UPDATE OR DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION holdfast_index_contact();

CREATE TABLE contact_notes (
  tenant_id text NOT NULL,
  contact   text COLLATE "C" NOT NULL,
  id        text COLLATE "C" NOT NULL,
  author    text NOT NULL,
  home      text NOT NULL DEFAULT '', -- whose user the author is, if not this tenant's
  at        timestamptz NOT NULL,
  edited_at timestamptz,
  text      text NOT NULL,
  PRIMARY KEY (tenant_id, contact, id),
  FOREIGN KEY (tenant_id, contact) REFERENCES contacts ON DELETE CASCADE
);
SELECT holdfast_guard('contact_notes');

-- Contacts that were merged into another one.
CREATE TABLE contact_merges (
  tenant_id   text NOT NULL,
  contact     text COLLATE "C" NOT NULL,
  merged_into text COLLATE "C" NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, contact)
);
CREATE INDEX contact_merges_into ON contact_merges (tenant_id, merged_into);
SELECT holdfast_guard('contact_merges');

-- Which agents were offered calls with a number, or had them: its contact is theirs to
-- see. Written with the record of the call.
CREATE TABLE customer_agents (
  tenant_id text NOT NULL,
  agent     text NOT NULL,
  number    text NOT NULL,
  at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, agent, number)
);
SELECT holdfast_guard('customer_agents');

-- contact: who it was with, as known when the call came or ended. customer is the number
-- of the outside party, E.164; null if it is withheld or none. customer_line is a hash of
-- tenant and customer, for the index (0003_live.sql); written with it, so that what is
-- there need not be rewritten.
ALTER TABLE calls ADD COLUMN contact text, ADD COLUMN customer text, ADD COLUMN customer_line bigint;
CREATE INDEX calls_customer ON calls (customer_line, arrived_at DESC) WHERE customer_line IS NOT NULL;

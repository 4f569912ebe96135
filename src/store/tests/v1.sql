-- A ledger as the first release wrote it: four boots, three rows, one reader. Never edited.
PRAGMA application_id=1381387348;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE ledger(
  seq INTEGER PRIMARY KEY,
  cp TEXT NOT NULL,
  boot INTEGER NOT NULL,
  mono_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL,
  quality INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  sum INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES(1,'cp-1',3,77,1790000000123,1,'security','{"kind":"security","name":"one","info":"Ω '' \" \\"}',-2273688039873631667);
INSERT INTO ledger VALUES(2,'cp-1',3,77,1790000000123,1,'security','{"kind":"security","name":"two","info":"Ω '' \" \\"}',-5669733085414807564);
INSERT INTO ledger VALUES(3,'cp-2',3,77,1790000000123,1,'security','{"kind":"security","name":"other","info":"Ω '' \" \\"}',-1310287988309111486);
CREATE TABLE readers(
  reader TEXT PRIMARY KEY,
  cp TEXT NOT NULL,
  cursor INTEGER NOT NULL,
  sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO readers VALUES('cp-1/main','cp-1',1,-6318177326975444831);
CREATE TABLE kv(
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  sum INTEGER NOT NULL,
  PRIMARY KEY(scope, key)
) STRICT, WITHOUT ROWID;
INSERT INTO kv VALUES('station/cp-1','state','{}',-9153739889622675279);
CREATE TABLE boots(
  boot INTEGER PRIMARY KEY,
  epoch_ms INTEGER
) STRICT;
INSERT INTO boots VALUES(1,NULL);
INSERT INTO boots VALUES(2,NULL);
INSERT INTO boots VALUES(3,NULL);
INSERT INTO boots VALUES(4,1790000000000);
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL,
  sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('last_wall_ms',1790000060000,1678538465172706307);
INSERT INTO meta VALUES('schema',1,-4913291996259183879);
INSERT INTO meta VALUES('schema_sum',2784940996489551098,3201059438176290419);
CREATE INDEX ledger_by_cp ON ledger(cp, seq);
COMMIT;

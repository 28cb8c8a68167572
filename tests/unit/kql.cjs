// Reads {tables: {name: schema}, queries: {name: text}} from standard input, and writes for each query what Microsoft's own
// language service says of it: {problems: [text], columns: [name]}. Schemas are written as (Name: type, …).
// https://www.npmjs.com/package/@kusto/language-service-next
const fs = require('fs')
const path = require('path')

const folder = path.dirname(require.resolve('@kusto/language-service-next/package.json'))
for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  ;(0, eval)(fs.readFileSync(path.join(folder, file), 'utf8')) // each sets globals, as in a browser
}
const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language
const { tables, queries } = JSON.parse(fs.readFileSync(0, 'utf8'))
const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name))
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor('workspace', symbols, false))

const listed = (list, of) => Array.from({ length: list.Count }, (_, i) => of(list.getItem(i)))
const answer = {}
for (const [name, text] of Object.entries(queries)) {
  const code = KustoCode.ParseAndAnalyze(text, globals)
  answer[name] = {
    problems: listed(code.GetDiagnostics(), (d) => `${d.Message} at "${text.slice(d.Start, d.Start + d.Length)}"`),
    columns: code.ResultType && code.ResultType.Columns ? listed(code.ResultType.Columns, (c) => c.Name) : [],
  }
}
process.stdout.write(JSON.stringify(answer))

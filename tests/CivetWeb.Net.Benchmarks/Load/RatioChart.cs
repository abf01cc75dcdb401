using System;
using System.Globalization;
using System.Linq;
using System.Text;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>A bar chart of throughput, Kestrel's being 1, as SVG that reads well on light and on dark pages.</summary>
internal static class RatioChart
{
    private const int Left = 110;
    private const int Width = 760;
    private const int BarHeight = 14;
    private const int BarsWidth = Width - Left - 130;

    private static readonly string[] s_colours = ["#2f81f7", "#a371f7", "#8b949e", "#d29922", "#57ab5a"];

    public static string Draw(LoadOptions options, Measurements measurements)
    {
        Contender[] contenders = [.. options.Contenders.Where(c => c.Name != Contender.Kestrel)];
        Bar[][] groups =
        [
            .. from load in options.Cases
               where load.Mode != "idle"
               let bars = (Bar[])
               [
                   .. from item in contenders.Select((contender, index) => (contender, index))
                      where measurements.Has(load, item.contender)
                      select new Bar(load.Name, item.index, measurements.Ratio(load, item.contender, Contender.Kestrel, r => r.PerSecond))
               ]
               where bars.Length > 0
               select bars
        ];
        double largest = groups.SelectMany(g => g).Select(b => b.Ratio?.Max ?? 0).DefaultIfEmpty(1).Max();
        double scale = BarsWidth / Math.Max(1.2, largest);
        int height = 70 + groups.Sum(g => (g.Length * (BarHeight + 2)) + 14);

        var svg = new StringBuilder();
        Add(svg, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" width=\"{Width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">");
        Add(svg, $"<style>text {{ fill: #1f2328 }} .soft {{ fill: #59636e }} line {{ stroke: #59636e }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .soft {{ fill: #9198a1 }} line {{ stroke: #9198a1 }} }}</style>");
        Add(svg, $"<title>Throughput of each server in each case, Kestrel's being 1</title>");
        Add(svg, $"<text x=\"8\" y=\"20\" font-size=\"14\">Throughput, Kestrel = 1 (bars: medians; thin lines: smallest to largest)</text>");
        for (int i = 0; i < contenders.Length; i++)
        {
            Add(svg, $"<rect x=\"{8 + (i * 150)}\" y=\"30\" width=\"12\" height=\"12\" fill=\"{s_colours[i % s_colours.Length]}\"/>");
            Add(svg, $"<text x=\"{26 + (i * 150)}\" y=\"41\">{contenders[i].Name}</text>");
        }

        int y = 58;
        foreach (Bar[] group in groups)
        {
            Add(svg, $"<text x=\"{Left - 8}\" y=\"{y + (group.Length * (BarHeight + 2) / 2) + 4}\" text-anchor=\"end\">{group[0].Case}</text>");
            foreach (Bar bar in group)
            {
                if (bar.Ratio is { } ratio)
                {
                    double middle = y + (BarHeight / 2.0);
                    Add(svg, $"<rect x=\"{Left}\" y=\"{y}\" width=\"{ratio.Median * scale:0.#}\" height=\"{BarHeight}\" rx=\"2\" fill=\"{s_colours[bar.Colour % s_colours.Length]}\"/>");
                    Add(svg, $"<line x1=\"{Left + (ratio.Min * scale):0.#}\" x2=\"{Left + (ratio.Max * scale):0.#}\" y1=\"{middle}\" y2=\"{middle}\"/>");
                    Add(svg, $"<text class=\"soft\" x=\"{Left + (ratio.Max * scale) + 6:0.#}\" y=\"{y + 11}\">{ratio.Median:0.00}</text>");
                }
                else
                {
                    Add(svg, $"<text class=\"soft\" x=\"{Left + 6}\" y=\"{y + 11}\">{contenders[bar.Colour].Name}: nothing to compare</text>");
                }

                y += BarHeight + 2;
            }

            y += 14;
        }

        Add(svg, $"<line x1=\"{Left + scale:0.#}\" x2=\"{Left + scale:0.#}\" y1=\"50\" y2=\"{y - 6}\" stroke-dasharray=\"4 3\"/>");
        Add(svg, $"</svg>");
        return svg.ToString();
    }

    private static void Add(StringBuilder svg, FormattableString line) => svg.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');

    /// <param name="Case">The group.</param>
    /// <param name="Colour">The server's number.</param>
    /// <param name="Ratio">Null when one of the two has failed.</param>
    private sealed record Bar(string Case, int Colour, Spread? Ratio);
}

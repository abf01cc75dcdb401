using System;
using System.Collections.Generic;
using System.Globalization;

namespace CivetWeb.Net.Benchmarks;

/// <summary>Goes through a command line: names, and the values after them.</summary>
internal sealed class ArgumentReader(IReadOnlyList<string> arguments)
{
    private int _next;

    public string Name { get; private set; } = "";

    public bool MoveNext()
    {
        if (_next >= arguments.Count)
        {
            return false;
        }

        Name = arguments[_next++];
        return true;
    }

    public string Text() => _next < arguments.Count ? arguments[_next++] : throw new FormatException($"{Name} needs a value.");

    public string[] List() => Text().Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    public double Number(double minimum)
    {
        string text = Text();
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= minimum
            ? value
            : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{Name} is a number of at least {minimum}, not '{text}'."));
    }

    public FormatException Unknown() => new($"There is no argument '{Name}'.");
}
